from collectors.increments import Growth, Increments

A, B = 1, 2


def test_growth_is_what_was_added_since_the_scrape_before() -> None:
    increments = Increments(max_gap_ms=3000)
    assert increments.advance(1000, {A: 5.0}, {}, None) == Growth(False, None, {})
    assert increments.advance(3000, {A: 9.0}, {}, None) == Growth(False, 2.0, {A: 4.0})


def test_when_one_counter_fell_all_had_started_at_nothing() -> None:
    increments = Increments(max_gap_ms=3000)
    increments.advance(1000, {A: 5.0, B: 5.0}, {}, None)
    assert increments.advance(2000, {A: 1.0, B: 6.0}, {}, None) == Growth(True, 1.0, {A: 1.0, B: 6.0})
    assert increments.advance(3000, {A: 1.0, B: 7.0}, {}, None) == Growth(False, 1.0, {A: 0.0, B: 1.0})


def test_a_counter_that_turns_up_later_started_at_nothing_and_one_that_was_away_goes_on() -> None:
    increments = Increments(max_gap_ms=3000)
    increments.advance(1000, {A: 5.0}, {}, None)
    assert increments.advance(2000, {B: 2.0}, {}, None).by == {B: 2.0}
    assert increments.advance(3000, {A: 6.0, B: 2.0}, {}, None).by == {A: 1.0, B: 0.0}


def test_hardware_counters_outlive_the_process() -> None:
    increments = Increments(max_gap_ms=3000)
    increments.advance(1000, {}, {A: 5.0}, 10.0)
    assert increments.advance(2000, {}, {A: 6.0, B: 99.0}, 20.0) == Growth(True, 1.0, {A: 1.0, B: 0.0})
    assert increments.advance(3000, {}, {A: 0.0, B: 99.0}, 20.0) == Growth(False, 1.0, {A: 0.0, B: 0.0})


def test_no_growth_over_a_gap_or_against_time() -> None:
    increments = Increments(max_gap_ms=3000)
    increments.advance(1000, {A: 5.0}, {}, None)
    assert increments.advance(4001, {A: 6.0}, {}, None) == Growth(False, None, {})
    assert increments.advance(4001, {A: 7.0}, {}, None) == Growth(False, None, {})
    assert increments.advance(2000, {A: 8.0}, {}, None) == Growth(False, None, {})
    assert increments.advance(3000, {A: 9.0}, {}, None) == Growth(False, 1.0, {A: 1.0})
