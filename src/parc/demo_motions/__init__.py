"""Procedural motion clips, to try things with and to test the project on.

What it is: clips of a humanoid that stands, walks, runs, turns, climbs stairs, steps on and off blocks, jumps gaps and
follows ways with corners on blocky terrain, made from footsteps planned on the terrain's cells and inverse kinematics, the
same from the same seed on every run. With them a newcomer trains a motion generator in minutes, with no data and no account.

What it is not: no motion capture (nobody ever moved like this, and the style of real people is not in it), and no physics
(no masses, no forces, no friction; only flights fall with gravity). A model trained on it shows that training works, not
how good the method is: train on recorded clips for that.

The way through the code: `motion_classes` (what the character does, one short function a class) uses `routes` (where it
goes and the terrain there), `ways` (lines with corners, and how they are rounded), `profiles` and `trenches` (the ground
along a route and across it) and `footsteps` (when and where each foot stands); `generator` makes a clip of that plan by
means of `feet`, `pelvis`, `legs` and `upper_body`, checked by `promises`; `dataset` writes the set.
"""
