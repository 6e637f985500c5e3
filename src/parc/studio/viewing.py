"""From paths to a page or to the studio: what `python -m parc.view` does."""

import logging
import time
import webbrowser
from collections.abc import Sequence
from pathlib import Path

import torch
import viser

from parc.anim.character import Character
from parc.anim.dataset import evenly_spread
from parc.anim.mirror import without_mirror_images
from parc.anim.mjcf import CharacterFile
from parc.configuration.errors import UserError
from parc.evaluation.settings import MOTIONS_FOLDER
from parc.evaluation.subject import is_of_clips, training_clips_of
from parc.motion_generator.checkpoint_files import model_file
from parc.motion_generator.trained_model import TrainedModel, load_trained_model
from parc.motion_synthesis.generated import read_generated
from parc.motion_synthesis.what_the_model_sees import default_sight
from parc.studio.correct_panel import CorrectPanel
from parc.studio.generate_panel import GeneratePanel
from parc.studio.model_layer import ModelLayer
from parc.studio.motion_list import ListedMotion, Version, entries_of, motions_in, motions_of, refuse_missing_paths
from parc.studio.motion_requests import default_pieces
from parc.studio.page import write_page
from parc.studio.play_panel import PlayPanel
from parc.studio.server import running_server
from parc.studio.studio import Studio
from parc.studio.terrain_panel import TerrainPanel
from parc.studio.tools import Tools
from parc.studio.watch_panel import WatchPanel
from parc.training.device import configure_torch

log = logging.getLogger(__name__)

MOST_LISTED = 10**6  # clips of a training run
MOST_ON_A_PAGE = 12  # versions of motions: a browser can still draw them


def write_page_of(paths: Sequence[Path], output: Path, char_file: str) -> Path:
    """Write a page that plays the motions of some paths; of many, some that are evenly spread over them.

    Raises:
        UserError: a path holds no clips, a clip is broken, or the page cannot be written.
    """
    character = CharacterFile(char_file).read()
    found = _listed(paths)
    listed = without_mirror_images(found, lambda motion: motion.name)
    versions: list[Version] = []
    count = len(listed[0].read(character))
    most = max(1, MOST_ON_A_PAGE // count)
    shown = evenly_spread(listed, most)
    for motion in shown:
        versions += motion.read(character)
    if len(shown) < len(listed):
        log.info("the page shows %d of the %d motions, evenly spread", len(shown), len(listed))
    title = listed[0].name if len(listed) == 1 else ", ".join(path.resolve().name for path in paths[:3])
    write_page(output, versions, character, title)
    return output


def view(
    paths: Sequence[Path],
    char_file: str,
    *,
    model: Path | None,
    model_packages: Sequence[str],
    host: str,
    port: int,
    opens_browser: bool,
) -> None:
    """Show the motions of some paths in the browser until the program is interrupted.

    Args:
        paths: clips, folders of clips, manifests, folders of runs.
        char_file: see `CharacterFile`; with a model, its character counts.
        model: that makes motions; None for that of the run that the first path is of, if it is of one.
        model_packages: see `load_trained_model`.
        host: the address to listen on.
        port: likewise.
        opens_browser: whether this machine's browser is opened.

    Raises:
        UserError: a path holds no clips, the model is none, or nothing can listen there.
    """
    configure_torch(torch.device("cpu"), threads=None)
    listed, trained = _listed(paths), _model_of(paths[0], model, model_packages)
    character: Character = trained.character if trained is not None else CharacterFile(char_file).read()
    with running_server(host, port, "parc") as server:
        studio = studio_with_panels(server, character, listed, trained, Path("studio"))
        studio.playback.start()
        address = f"http://{f'[{host}]' if ':' in host else host}:{server.get_port()}"
        print(f"{len(listed)} motions at {address} (Ctrl+C ends)", flush=True)
        if opens_browser:
            webbrowser.open(address)
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            pass
        finally:
            studio.playback.stop()


def studio_with_panels(
    server: viser.ViserServer,
    character: Character,
    listed: Sequence[ListedMotion],
    model: TrainedModel | None,
    folder: Path,
) -> Studio:
    """Return a studio with all of its panels, in which time does not pass yet (see `Studio`)."""
    pieces = default_pieces()
    studio = Studio(server, character, listed, model, folder)
    PlayPanel(studio)
    tools = Tools(studio)
    tabs = server.gui.add_tab_group()
    sight = ModelLayer(studio, model or default_sight(), pieces.rollout)
    with tabs.add_tab("Watch"):
        WatchPanel(studio, pieces.rollout.feet, sight)
    with tabs.add_tab("Generate"):
        generating = GeneratePanel(studio, tools, pieces)
    with tabs.add_tab("Terrain"):
        TerrainPanel(studio, tools, generating.make_again)
    with tabs.add_tab("Correct"):
        CorrectPanel(studio, pieces)
    return studio


def _listed(paths: Sequence[Path]) -> list[ListedMotion]:
    """Return the motions of some paths; of a training run, the clips that it was trained on, and those of its evaluations.

    Raises:
        UserError: there are none.
    """
    refuse_missing_paths(paths)
    run = paths[0]
    if is_of_clips(run):
        return motions_in(paths)
    clips = training_clips_of(model_file(run), MOST_LISTED)
    sources = [] if clips is None else [("", clips.entries)]
    for folder in sorted(run.glob(f"evaluation/**/{MOTIONS_FOLDER}")):
        # Evaluations of one model give their motions the same names: they went over the same ground.
        sources.append((str(folder.parent.relative_to(run)), entries_of(folder)))
    listed = motions_of(sources) + (motions_in(paths[1:]) if paths[1:] else [])
    if not listed:
        raise UserError(f"{run}: the clips that it was trained on are gone; give clips to begin with as another PATH")
    return listed


def _model_of(path: Path, model: Path | None, model_packages: Sequence[str]) -> TrainedModel | None:
    """Return the model that is asked for; without one, the one that a path is or was made by, where it can be loaded."""
    if model is not None or not is_of_clips(path):
        return load_trained_model(model or path, packages=model_packages)
    generated = read_generated(path) if path.is_dir() else None
    if generated is None or not Path(generated.model).is_file():
        return None
    try:
        return load_trained_model(Path(generated.model), packages=model_packages)
    except UserError as error:
        log.warning("nothing can be made here: the model of these motions cannot be loaded (%s)", error)
        return None
