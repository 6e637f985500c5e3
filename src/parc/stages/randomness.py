"""Randomness as a function of (seed, stream, step): every draw can be made again, by anyone, in any order."""

import hashlib

import torch


def seed_of(seed: int, stream: str, step: int, *, rank: int = 0) -> int:
    """Return the seed of a stream of random numbers at a step: a hash, so that neighbours have nothing in common."""
    digest = hashlib.blake2b(f"{seed}/{stream}/{step}/{rank}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1  # generators take 63 bits


def generator_for(seed: int, stream: str, step: int) -> torch.Generator:
    """Return a generator of the random numbers of a stream at a step."""
    return torch.Generator().manual_seed(seed_of(seed, stream, step))
