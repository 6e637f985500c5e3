"""Where a captured motion rests on the ground: which feet and hands, on what, and how far they are moved to be on it."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from parc.anim.character import Character
from parc.anim.surface_points import BodyPoints
from parc.exchange.fit_cost import HeldPoints
from parc.exchange.landmarks import SIDES, FootBuild
from parc.terrain.heightfield import Heightfield

Positions = dict[str, Float[Tensor, "frames 3"]]
SLOW_FOOT = 0.3  # metres/s below which a toe or an ankle may rest
SLOW_HAND = 0.25
NEAR_FOOT = 0.08  # metres of the sole above or below the ground
NEAR_HAND = 0.12  # metres of the wrist above or below where it would be were the hand on the ground
NEAR_EDGE = 0.2  # metres beside ground up to which one may stand on it: half a cell
FLAT = 0.04  # metres by which a heel may be too high against the toe and yet rest
SHORTEST_REST = 0.15  # seconds; who rests for less does not rest, and who does not for less goes on
INSET = 0.02  # metres from the edge of the ground onto which one is put


@dataclass(frozen=True)
class Resting:
    """A captured motion that is moved onto the ground where it rests on it.

    Attributes:
        positions: of the landmarks, metres.
        held: points of feet and hands that rest.
        contacts: 1 for feet and hands while they rest, 0 otherwise.
    """

    positions: Positions
    held: HeldPoints
    contacts: Float[Tensor, "frames bodies"]


def resting(
    character: Character, positions: Positions, feet: dict[str, FootBuild], fps: float, terrain: Heightfield
) -> Resting:
    """Find out where feet and hands rest, and move them, and what they carry, so that they are on the ground there.

    Rests are runs of frames in which a toe, an ankle or a hand is near the ground and slow. All frames of a run are moved by the
    same, to where the run's middle is on the ground; frames between runs by what is between.

    Args:
        character: the humanoid.
        positions: of the landmarks, in our size, metres.
        feet: how the captured feet are built, by side.
        fps: frames a second.
        terrain: the ground.
    """
    frames = len(positions["left_toe"])
    contacts = torch.zeros(frames, character.num_bodies)
    moved, shifts, points, bodies, heights, held = dict(positions), [], [], [], [], []
    for side in SIDES:
        toe_rests, heel_rests, level, shift = _foot(positions, side, feet[side], fps, terrain)
        body = character.body_index(f"{side}_foot")
        corners = _sole_corners(character, body)
        points.append(corners)
        bodies += [body] * len(corners)
        front = corners[:, 0] > corners[:, 0].mean()
        held.append(torch.where(front, toe_rests[:, None], heel_rests[:, None]))
        heights.append(level[:, None].expand(-1, len(corners)))
        contacts[:, body] = (toe_rests | heel_rests).float()
        shifts.append(shift)
        for joint in ("ankle", "toe"):
            moved[f"{side}_{joint}"] = positions[f"{side}_{joint}"] + shift
    carried = (shifts[0] + shifts[1]) / 2
    for name in positions:
        side, _, joint = name.partition("_")
        if joint == "knee":
            moved[name] = positions[name] + (carried + shifts[SIDES.index(side)]) / 2
        elif joint not in ("ankle", "toe"):
            moved[name] = positions[name] + carried
    for side in SIDES:
        body = character.body_index(f"{side}_hand")
        (ball,) = character.bodies[body].geoms
        wrist = positions[f"{side}_hand"] - torch.tensor([0.0, 0.0, ball.size[0]])
        rests, level, shift = _runs(wrist, _is_slow(wrist, fps, SLOW_HAND), NEAR_HAND, fps, terrain)
        moved[f"{side}_hand"] = positions[f"{side}_hand"] + shift
        points.append(torch.tensor([ball.centre]))
        bodies.append(body)
        held.append(rests[:, None])
        heights.append(level[:, None] + ball.size[0])
        contacts[:, body] = rests.float()
    held_points = HeldPoints(
        BodyPoints(torch.cat(points), torch.tensor(bodies)), torch.cat(heights, 1), torch.cat(held, 1)
    )
    return Resting(moved, held_points, contacts)


def _foot(
    positions: Positions, side: str, build: FootBuild, fps: float, terrain: Heightfield
) -> tuple[Bool[Tensor, " frames"], Bool[Tensor, " frames"], Float[Tensor, " frames"], Float[Tensor, "frames 3"]]:
    """Return when a foot's toe and heel rest, the height of the ground there, and how far the foot is moved (metres)."""
    ankle, toe = positions[f"{side}_ankle"], positions[f"{side}_toe"]
    sole = toe - torch.tensor([0.0, 0.0, build.toe_height])
    slow = _is_slow(toe, fps, SLOW_FOOT)
    rests, level, shift = _runs(sole, slow, NEAR_FOOT, fps, terrain)
    flat = (ankle - toe)[:, 2] < build.drop + FLAT
    return rests, rests & flat & _is_slow(ankle, fps, SLOW_FOOT), level, shift


def _runs(
    places: Float[Tensor, "frames 3"], slow: Bool[Tensor, " frames"], near: float, fps: float, terrain: Heightfield
) -> tuple[Bool[Tensor, " frames"], Float[Tensor, " frames"], Float[Tensor, "frames 3"]]:
    """Return when a point rests on the ground, the ground's height, and the point's way onto it, metres."""
    ground = nearest_top(terrain, places)
    way = ground - places
    rests = slow & (way[:, 2].abs() <= near) & (way[:, :2].norm(dim=-1) <= NEAR_EDGE)
    rests = _without_short_runs(rests, fps)
    if not bool(rests.any()):
        return rests, torch.zeros(len(places)), torch.zeros_like(places)
    starts = rests & ~torch.cat([rests.new_zeros(1), rests[:-1]])
    run = starts.long().cumsum(0)[rests] - 1
    counts = torch.bincount(run)[:, None]
    middle = torch.zeros(len(counts), 3).index_add(0, run, places[rests]) / counts
    onto = nearest_top(terrain, middle)
    of_runs, level = torch.zeros_like(places), torch.zeros(len(places))
    of_runs[rests], level[rests] = (onto - middle)[run], onto[run, 2]
    return rests, level, _between(of_runs, rests)


def nearest_top(terrain: Heightfield, points: Float[Tensor, "points 3"]) -> Float[Tensor, "points 3"]:
    """Return the nearest place on top of the ground's columns: in the cell below a point, or in one beside it.

    Not the nearest ground, which for a foot in the edge of a block may be the block's side. A place is a little inside its
    column's edges, and heights count twice, since whoever stands beside ground stands at its height.

    Args:
        terrain: the ground.
        points: metres.
    """
    offsets = torch.cartesian_prod(torch.arange(-1, 2), torch.arange(-1, 2))
    shape = torch.tensor(terrain.heights.shape)
    cells = terrain.cells_at(points[:, :2])[:, None] + offsets
    cells = torch.minimum(cells.clamp(min=0), shape - 1)
    centres = terrain.min_point + cells * terrain.cell_size
    half = terrain.cell_size / 2
    # What is within its cell stays where it is.
    aside = points[:, None, :2] - centres
    inside = (aside.abs() <= half).all(-1, keepdim=True)
    beside = centres + torch.where(inside, aside, aside.clamp(-half + INSET, half - INSET))
    tops = torch.cat([beside, terrain.heights[cells[..., 0], cells[..., 1]][..., None]], dim=-1)
    away = ((tops - points[:, None]) * torch.tensor([1.0, 1.0, 2.0])).norm(dim=-1)
    return tops[torch.arange(len(points)), away.argmin(1)]


def _is_slow(places: Float[Tensor, "frames 3"], fps: float, slow: float) -> Bool[Tensor, " frames"]:
    """Say in which frames a point is slow: from the frame before to the frame after."""
    padded = torch.cat([places[:1], places, places[-1:]])
    steps = (padded[2:] - padded[:-2]).norm(dim=-1)
    frames_between = torch.full_like(steps, 2.0)
    frames_between[0] = frames_between[-1] = 1.0
    return steps * fps / frames_between <= slow


def _without_short_runs(rests: Bool[Tensor, " frames"], fps: float) -> Bool[Tensor, " frames"]:
    """Return the same without gaps that are short, and then without rests that are."""
    fewest = max(1, round(SHORTEST_REST * fps))
    for value in (False, True):
        changes = torch.cat([rests.new_ones(1), rests[1:] != rests[:-1]])
        run = changes.long().cumsum(0) - 1
        short = torch.bincount(run)[run] < fewest
        rests = torch.where(short & (rests == value), ~rests, rests)
    return rests


def _between(values: Float[Tensor, "frames size"], known: Bool[Tensor, " frames"]) -> Float[Tensor, "frames size"]:
    """Return values that are known in some frames for all: between two of them by a smooth blend, beyond the last it stays."""
    number = torch.arange(len(known))
    before = torch.where(known, number, -1).cummax(0).values
    after = torch.where(known, number, len(known)).flip(0).cummin(0).values.flip(0)
    before, after = torch.where(before < 0, after, before), torch.where(after == len(known), before, after)
    share = ((number - before) / (after - before).clamp(min=1))[:, None]
    share = share.square() * (3 - 2 * share)  # without a kink at either end
    return values[before] + share * (values[after] - values[before])


def _sole_corners(character: Character, body: int) -> Float[Tensor, "4 3"]:
    """Return the corners of a foot's sole, in its frame, metres."""
    (box,) = [geom for geom in character.bodies[body].geoms if geom.kind == "box"]
    half_x, half_y, half_z = box.size
    corners = torch.cartesian_prod(torch.tensor([-half_x, half_x]), torch.tensor([-half_y, half_y]))
    return torch.tensor(box.centre) + torch.cat([corners, torch.full((4, 1), -half_z)], dim=1)
