"""The panel to make motions: click a place and the character goes there; candidates to choose from."""

import dataclasses

import numpy as np

from parc.configuration.errors import UserError
from parc.pictures.palette import PATH_NODES, rgb_bytes
from parc.studio.listening import listen, working
from parc.studio.motion_requests import Candidate, MotionRequest, Pieces, answered, places_of, with_sampling
from parc.studio.studio import Place, Studio
from parc.studio.tools import Tools

MOST_CANDIDATES = 16
THE_END, FRAME_SHOWN, ANEW = "its end", "the frame shown", "nothing: begin at the first click"
GO_THERE, NO_CANDIDATES = "go there", "none yet"


class GeneratePanel:
    """The panel to make motions.

    Args:
        studio: that shows them.
        tools: to which clicks for motions are added.
        pieces: with which they are made.
    """

    def __init__(self, studio: Studio, tools: Tools, pieces: Pieces) -> None:
        self._studio, self._pieces, gui = studio, pieces, studio.server.gui
        if studio.model is None:
            gui.add_markdown(
                "Motions are made by a model, and there is none here: give `--model RUN`, or a training run as PATH."
            )
            return
        self._model = studio.model
        self._places: list[Place] = []  # that were clicked for what is asked next
        self._latest: MotionRequest | None = None
        self._proposed: list[Candidate] = []
        rollout = pieces.rollout
        diffusion_steps = self._model.mdm.diffusion.timesteps
        gui.add_markdown(f"Model: {self._model.path}. *A click on the ground*, above, says what clicks do.")
        self._from = gui.add_dropdown("go on from", [THE_END, FRAME_SHOWN, ANEW])
        self._candidates = gui.add_slider("candidates", 1, MOST_CANDIDATES, 1, min(4, MOST_CANDIDATES))
        self._guidance = gui.add_slider(
            "guidance", 0.0, 1.0, 0.05, rollout.guidance_scale, hint="0: smooth; 1: obeys ground and target"
        )
        self._steps = gui.add_slider("steps", 2, diffusion_steps, 1, min(rollout.denoising_steps, diffusion_steps))
        self._seed = gui.add_number("seed", 0, min=0, step=1)
        self._straight = gui.add_checkbox(
            "straight to the place", False, hint="otherwise a way is planned that a character can go"
        )
        self._walk = gui.add_button("Walk the path that was drawn", visible=False)
        self._again = gui.add_button("Again, with other noise", visible=False)
        self._choice = gui.add_dropdown("candidate", [NO_CANDIDATES], visible=False)
        self._choose = gui.add_button("Go on with this one", visible=False)
        listen(studio, self._walk, self._walk_the_path)
        listen(studio, self._again, self._ask_again)
        listen(studio, self._choose, self._go_on_with_chosen)
        studio.on_choose.append(self._forget)
        tools.add(GO_THERE, self._go_to)
        tools.add("draw a path", self._draw)
        tools.choose(GO_THERE)

    def make_again(self) -> bool:
        """Make the latest motion again, over the terrain as it is now; say whether there was one.

        Raises:
            UserError: there is no way any more.
        """
        if self._studio.model is None or self._latest is None:
            return False
        clip = self._studio.clip
        if not any(clip.root_pos is candidate.version.clip.root_pos for candidate in self._proposed):
            return False  # what is shown is another motion
        self._ask(dataclasses.replace(self._latest, terrain=clip.terrain))
        return True

    def _go_to(self, place: Place) -> None:
        if self._from.value == ANEW and not self._places:
            self._places = [place]
            self._mark()
            self._studio.say("Begins there", "Now click where it is to go.")
            return
        self._places.append(place)
        self._walk_the_path()

    def _draw(self, place: Place) -> None:
        self._places.append(place)
        self._walk.visible = True
        self._mark()

    def _walk_the_path(self) -> None:
        clip, so_far = self._studio.clip, None
        places = list(self._places)
        if self._from.value != ANEW:
            last = clip.num_frames if self._from.value == THE_END else self._studio.playback.frame + 1
            # A model goes on from a few frames; at the very beginning these are taken.
            so_far = clip.frames.each(lambda values: values[: max(last, self._model.num_previous)])
            places.insert(0, so_far.root_pos[-1].numpy())
        if len(places) < 2:
            raise UserError("a path has two places or more; click on the ground")
        if so_far is not None and abs(clip.fps - self._model.fps) > 1e-3:
            raise UserError(
                f"{clip.name} has {clip.fps:g} frames a second, expected the {self._model.fps:g} of the model to go on from it; "
                f"choose '{ANEW}'"
            )
        seed = int(self._seed.value)
        step = 0 if self._latest is None else self._latest.step + 1
        request = MotionRequest(clip.terrain, places_of(places), so_far, self._straight.value, seed, step)
        try:
            self._ask(request)
        finally:
            self._places = []
            self._walk.visible = False
            self._mark()

    def _ask_again(self) -> None:
        if self._latest is not None:
            terrain, step = self._studio.clip.terrain, self._latest.step + 1
            self._ask(dataclasses.replace(self._latest, terrain=terrain, seed=int(self._seed.value), step=step))

    def _ask(self, request: MotionRequest) -> None:
        studio = self._studio
        pieces = with_sampling(
            self._pieces,
            int(self._candidates.value),
            float(self._guidance.value),
            int(self._steps.value),
        )
        name = studio.clip.name
        with working(studio, "Making motions"):
            candidates = answered(request, self._model, pieces, name)
        self._latest = request
        before = 0 if request.so_far is None else len(request.so_far.root_pos) - 1
        studio.propose([candidate.version for candidate in candidates], max(0, before))
        self._proposed = candidates
        self._choice.options = [candidate.description for candidate in candidates]
        self._choice.value = candidates[0].description
        for element in (self._choice, self._choose, self._again):
            element.visible = True

    def _go_on_with_chosen(self) -> None:
        for candidate in self._proposed:
            if candidate.description == self._choice.value:
                self._studio.work_on(candidate.version.clip)
        self._choice.visible = self._choose.visible = False

    def _forget(self) -> None:
        """Begin anew with a motion that was chosen: what was made before has nothing to do with it."""
        self._places, self._latest, self._proposed = [], None, []
        for element in (self._choice, self._choose, self._again, self._walk):
            element.visible = False
        self._mark()

    def _mark(self) -> None:
        """Show the places that were clicked."""
        scene = self._studio.server.scene
        if not self._places:
            scene.remove_by_name("/places")
            return
        points = np.stack(self._places).astype(np.float32) + np.array([0, 0, 0.05], dtype=np.float32)
        points += self._studio.scene.offsets[0].astype(np.float32)
        scene.add_point_cloud("/places", points, rgb_bytes(PATH_NODES), point_size=0.15, point_shape="circle")
