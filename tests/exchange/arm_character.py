"""A character of three bodies, one of them turned at rest, whose middle joint is of any kind."""

from pathlib import Path

from parc.anim.mjcf import CharacterFile

ARM = """
<mujoco><compiler angle="radian" autolimits="true"/>
  <asset><texture name="sky" type="2d" builtin="checker" width="8" height="8"/><material name="skin" texture="sky"/></asset>
  <worldbody><geom name="floor" type="plane" size="1 1 1"/><light pos="0 0 3"/>
    <body name="root" pos="0 0 2">{root}<geom size=".1" material="skin"/>
      <body name="arm" pos=".1 .2 .3" quat=".8 0 .6 0">{joints}<geom size=".1"/>
        <body name="hand" pos="0 0 .4"><joint type="hinge" axis="0 .6 .8" ref=".3" range="-3 3"/><geom size=".1"/></body>
      </body></body></worldbody>
  <keyframe><key name="home"/></keyframe></mujoco>
"""
THREE_HINGES = [
    ("1 0 0", "0 1 0", "0 0 1"),
    ("0 1 0", "1 0 0", "0 0 1"),
    ("0 0 1", "1 0 0", "0 1 0"),
    ("1 0 0", "0 0 -1", "0 1 0"),
    ("-1 0 0", "0 1 0", "0 0 1"),
    (".6 .8 0", "-.8 .6 0", "0 0 1"),
]


def hinges(axes, ref=".2"):
    return "".join(f'<joint name="h{axis}" type="hinge" axis="{axis}" ref="{ref}" range="-3 3"/>' for axis in axes)


def arm(folder: Path, joints: str, root: str = "<freejoint/>") -> CharacterFile:
    path = folder / "arm.xml"
    path.write_text(ARM.format(joints=joints, root=root))
    return CharacterFile(str(path))
