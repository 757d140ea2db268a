"""Which of a host's devices count: those whose traffic is not that of another one, seen a second time."""

from __future__ import annotations

VIRTUAL_NETWORK = r"lo\d*|(veth|docker|br-|virbr|cni|cali|flannel|cilium|lxc|tap|tun|vnet|bond|team|dummy|ifb)[\w.-]*"
"""Loopback, bridges, bonds, tunnels and the ends of containers: what leaves the host goes through a real device, too."""

LAYERED_DISK = (
    r"(dm-|md|drbd|loop|ram|zram|sr|fd)\d+"
    r"|(sd|hd|vd|xvd)[a-z]+\d+"
    r"|(nvme\d+n\d+|mmcblk\d+)p\d+"
)
"""Partitions, and what is built of disks: each byte is one of a whole disk, too."""
