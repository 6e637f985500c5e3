"""How a clip was made, for tests that need a generated clip and do not care by what."""

from typing import Any

from parc.anim.making import Making


def making(**changes: Any) -> Making:
    values: dict[str, Any] = {
        "model": "output/iter1/p1_train_gen/final_model.ckpt",
        "model_digest": "4f3a9c21" + "0" * 56,
        "seed": 5,
        "number": 17,
        "rollout": 1,
        "candidate": 3,
        "guidance_scale": 0.5,
        "losses": {"penetration": 1.25, "contact": 0.125, "total": 0.1375},
    }
    return Making(**(values | changes))
