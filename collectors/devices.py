"""Which of a host's devices and file systems count: those that are not another one, seen a second time."""

from __future__ import annotations

VIRTUAL_NETWORK = r"lo\d*|(veth|docker|br-|virbr|cni|cali|flannel|cilium|lxc|tap|tun|vnet|bond|team|dummy|ifb)[\w.-]*"
"""Loopback, bridges, bonds, tunnels and the ends of containers: what leaves the host goes through a real device, too."""

LAYERED_DISK = (
    r"(dm-|md|drbd|loop|ram|zram|sr|fd)\d+"
    r"|(sd|hd|vd|xvd)[a-z]+\d+"
    r"|(nvme\d+n\d+|mmcblk\d+)p\d+"
)
"""Partitions, and what is built of disks: each byte is one of a whole disk, too."""

LOCAL_FILESYSTEM = (
    "ext2",
    "ext3",
    "ext4",
    "xfs",
    "btrfs",
    "zfs",
    "f2fs",
    "jfs",
    "reiserfs",
    "bcachefs",
    "ufs",
    "hfs",
    "apfs",
)
"""Types that keep on a disk of the host what is written to them. An overlay fills the one below it, tmpfs the memory."""
