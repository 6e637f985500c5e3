"""How a generated clip was made: by which model, as which motion, and how well it went."""

import json
import math
from dataclasses import asdict, dataclass

from pydantic import TypeAdapter, ValidationError

from parc.configuration.errors import UserError
from parc.configuration.paths import refuse_undecodable

SHORT_DIGEST = 8  # digits of a model's digest that are shown


@dataclass(frozen=True)
class Making:
    """How a clip was made by a generator. It is kept in the clip's file.

    Attributes:
        model: path of the checkpoint.
        model_digest: SHA-256 of it, hexadecimal.
        seed: of the run that generated.
        number: of the motion in that run.
        rollout: which one of the rollouts of its path it is of, each over another terrain; with seed and number it says which
            terrain, path and noise were drawn.
        candidate: which one of that rollout's candidates it is.
        guidance_scale: share of the prediction that is made without previous states (see `Rollout`).
        losses: of the clip as it was saved, by name: penetration and contact (metres), and the total by which it would be chosen.
        mirrored: whether this is the mirror image of what was generated.

    Raises:
        ValueError: a number is out of range.
        UserError: the path is no text.
    """

    model: str
    model_digest: str
    seed: int
    number: int
    rollout: int
    candidate: int
    guidance_scale: float
    losses: dict[str, float]
    mirrored: bool = False

    def __post_init__(self) -> None:
        refuse_undecodable(self.model)
        for name in ("seed", "number", "rollout", "candidate"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected 0 or more")
        if not 0 <= self.guidance_scale <= 1:
            raise ValueError(f"guidance_scale is {self.guidance_scale}, expected a share in 0..1")
        for name, loss in self.losses.items():
            if not math.isfinite(loss):
                raise ValueError(f"losses.{name} is {loss}, expected a finite number")

    @property
    def motion(self) -> tuple[str, int, int, int, int]:
        """What a clip shares with its mirror image and with no other clip over the same kind of terrain."""
        return self.model_digest, self.seed, self.number, self.rollout, self.candidate

    @property
    def short_digest(self) -> str:
        """As much of the model's digest as tells models apart."""
        return self.model_digest[:SHORT_DIGEST]


_MAKING = TypeAdapter(Making)


def making_as_text(made: Making) -> str:
    """Return JSON that `making_from_text` reads."""
    return json.dumps(asdict(made))


def making_from_text(source: object, text: str) -> Making:
    """Read how a clip was made from JSON.

    Args:
        source: the file, for messages.
        text: what `making_as_text` wrote.

    Raises:
        UserError: names the source, the field and what is wrong with it.
    """
    try:
        return _MAKING.validate_json(text, strict=True)
    except UserError as error:
        raise UserError(f"{source}: made: {error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(["made", *map(str, first["loc"])])[:100]
        reason = " ".join(first["msg"].removeprefix("Value error, ").split())[:160]
        raise UserError(
            f"{source}: {field}: {reason}; expected how a generator made the clip; generate it again, or leave it out"
        ) from error
