"""Characters from MJCF files, read by MuJoCo's own parser."""
# MuJoCo's compiled module shows pyright nothing:
# pyright: reportAttributeAccessIssue=false

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from parc.anim.character import Body, Character, Geom, JointType, Triple
from parc.configuration.errors import UserError
from parc.configuration.files import LARGEST_TEXT, refuse_too_large
from parc.configuration.paths import expanded_home
from parc.configuration.schema import FilePath, Known

if TYPE_CHECKING:
    import mujoco

SHIPPED_CHARACTERS = Path(__file__).parent / "characters"


def is_shipped(name: str) -> bool:
    """Say whether this is the bare name of a character that the project ships."""
    return Path(name).name == name and (SHIPPED_CHARACTERS / name).is_file()


class CharacterFile:
    """The character of a run, as its settings name it.

    Args:
        char_file: an MJCF file, or the bare name of one that the project ships ("humanoid.xml"; "./humanoid.xml" is yours).
    """

    def __init__(self, char_file: Annotated[FilePath, Known(is_shipped)]) -> None:
        self.path = SHIPPED_CHARACTERS / char_file if is_shipped(char_file) else expanded_home(char_file)

    def read(self) -> Character:
        """Read the character (see `read_mjcf`)."""
        return read_mjcf(self.path)


def read_mjcf(path: Path) -> Character:
    """Read a character from an MJCF file.

    The joints of a body between it and its parent are merged into one: three hinges or a ball are spherical, one hinge is
    a hinge, none is fixed. Materials are ignored, whether they are defined or not.

    Raises:
        UserError: there is no such file, MuJoCo cannot read it, or a body has other joints or shapes than those above.
    """
    import mujoco

    if not path.is_file():
        raise UserError(
            f"character.char_file {path}: there is no such file; give an MJCF file or 'humanoid.xml', which is shipped"
        )
    refuse_too_large(path, LARGEST_TEXT)
    try:
        spec = mujoco.MjSpec.from_file(str(path))
        for geom in spec.geoms:
            geom.material = ""
        model = spec.compile()
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"character.char_file {path}: MuJoCo cannot read it ({reason}); expected an MJCF character"
        ) from error
    roots = [body for body in range(1, model.nbody) if model.body_parentid[body] == 0]
    if len(roots) != 1:
        raise UserError(f"character.char_file {path}: found {len(roots)} bodies in the world, expected one root body")
    if not any(joint != mujoco.mjtJoint.mjJNT_FREE for joint in model.jnt_type):
        raise UserError(
            f"character.char_file {path}: no body has a joint against its parent; expected at least one hinge or ball"
        )
    # MuJoCo's body 0 is the world, and it keeps the others in depth-first order.
    return Character(tuple(_read_body(path, model, body) for body in range(1, model.nbody)))


def _read_body(path: Path, model: "mujoco.MjModel", body: int) -> Body:
    name = model.body(body).name or f"body {body}"
    first = model.body_jntadr[body]
    joints = range(first, first + model.body_jntnum[body])
    kind, axis, ranges = _merge_joints(path, name, model, list(joints), is_root=body == 1)
    return Body(
        name=name,
        parent=int(model.body_parentid[body]) - 1,
        # A root's place in the file is where the character starts, not part of its shape.
        offset=(0.0, 0.0, 0.0) if body == 1 else _triple(model.body_pos[body]),
        rotation=(0.0, 0.0, 0.0, 1.0) if body == 1 else _xyzw(model.body_quat[body]),
        joint=kind,
        hinge_axis=axis,
        dof_ranges=ranges,
        geoms=tuple(
            _read_geom(path, name, model, geom) for geom in range(model.ngeom) if model.geom_bodyid[geom] == body
        ),
    )


def _merge_joints(
    path: Path, name: str, model: "mujoco.MjModel", joints: list[int], is_root: bool
) -> tuple[JointType, Triple, tuple[tuple[float, float], ...]]:
    import mujoco

    if any(abs(value) > 1e-6 for joint in joints for value in model.jnt_pos[joint]):
        raise UserError(f"character.char_file {path}: body '{name}' has a joint off its origin; expected pos 0 0 0")
    hinge, ball, free = mujoco.mjtJoint.mjJNT_HINGE, mujoco.mjtJoint.mjJNT_BALL, mujoco.mjtJoint.mjJNT_FREE
    kinds = [int(model.jnt_type[joint]) for joint in joints]
    ranges = tuple((float(model.jnt_range[joint][0]), float(model.jnt_range[joint][1])) for joint in joints)
    still = (0.0, 0.0, 0.0)
    if is_root and kinds in ([], [free]):
        return JointType.ROOT, still, ()
    if not is_root and kinds == []:
        return JointType.FIXED, still, ()
    if not is_root and kinds == [hinge]:
        return JointType.HINGE, _triple(model.jnt_axis[joints[0]]), ranges
    if not is_root and kinds == [hinge, hinge, hinge]:
        return JointType.SPHERICAL, still, ranges
    if not is_root and kinds == [ball]:
        # A ball's only limit is its angle from rest.
        limit = ranges[0][1] if model.jnt_limited[joints[0]] else 3.141592653589793
        return JointType.SPHERICAL, still, ((-limit, limit),) * 3
    allowed = "a free joint" if is_root else "three hinges, one hinge, one ball or no joint"
    raise UserError(
        f"character.char_file {path}: body '{name}' has {len(joints)} joints of unsupported kinds; expected {allowed}"
    )


def _read_geom(path: Path, name: str, model: "mujoco.MjModel", geom: int) -> Geom:
    import mujoco

    sizes = {
        int(mujoco.mjtGeom.mjGEOM_SPHERE): ("sphere", 1),
        int(mujoco.mjtGeom.mjGEOM_CAPSULE): ("capsule", 2),
        int(mujoco.mjtGeom.mjGEOM_BOX): ("box", 3),
    }
    kind = int(model.geom_type[geom])
    if kind not in sizes:
        shape = mujoco.mjtGeom(kind).name.removeprefix("mjGEOM_").lower()
        raise UserError(
            f"character.char_file {path}: body '{name}' has a {shape} geom; expected spheres, capsules and boxes"
        )
    shape, count = sizes[kind]
    size = tuple(float(value) for value in model.geom_size[geom][:count])
    return Geom(shape, _triple(model.geom_pos[geom]), _xyzw(model.geom_quat[geom]), size)


def _triple(values: Iterable[float]) -> Triple:
    x, y, z = (float(value) for value in values)
    return (x, y, z)


def _xyzw(values: Iterable[float]) -> tuple[float, float, float, float]:
    """Turn MuJoCo's (w, x, y, z) into (x, y, z, w)."""
    w, x, y, z = (float(value) for value in values)
    return (x, y, z, w)
