"""`python -m parc.view PATH [PATH...]`: motions in the browser, to watch, make and correct; or a page that plays them."""

from pathlib import Path

from parc.configuration.errors import UserError
from parc.configuration.paths import expanded_home
from parc.configuration.program import parser_of_clips, run_program
from parc.studio.address import THIS_MACHINE

HELP = """Show the motions of PATH in the browser: clips, folders of clips, manifests, folders of runs.

Several paths that hold clips of one name show these side by side. With a model (the run that PATH is of, or --model), motions
are made in the browser: click a place, and the character goes there. Ends with Ctrl+C.
"""

EXAMPLES = """examples:
  python -m parc.view data/generated
  python -m parc.view data/demo                        a training run: its clips, and its model
  python -m parc.view clips/walk.safetensors --html walk.html
"""


def main() -> None:
    """Read the command line and show the motions."""
    parser = parser_of_clips("view", HELP, EXAMPLES)
    parser.add_argument(
        "--html", type=expanded_home, metavar="FILE.html", help="write a page that plays them, and show nothing"
    )
    parser.add_argument(
        "--model", type=expanded_home, metavar="PATH", help="the model that makes motions: a run or a checkpoint"
    )
    parser.add_argument(
        "--model-package",
        action="append",
        default=[],
        metavar="PACKAGE",
        help="of a denoiser of your own that the model's file names",
    )
    parser.add_argument(
        "--host", default=THIS_MACHINE, help=f"to listen on (default: {THIS_MACHINE}: this machine alone)"
    )
    parser.add_argument(
        "--port", type=int, default=8080, help="port to listen on, or the next one that is free (default: 8080)"
    )
    parser.add_argument("--no-browser", action="store_true", help="open no browser")
    arguments = parser.parse_args()
    page: Path | None = arguments.html
    if page is not None and page.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"--html {page}: expected a name that ends in .html")
    # Imported only now, because torch and viser take seconds.
    from parc.studio.viewing import view, write_page_of

    if page is not None:
        print(write_page_of(arguments.paths, page, arguments.character))
    else:
        view(
            arguments.paths,
            arguments.character,
            model=arguments.model,
            model_packages=arguments.model_package,
            host=arguments.host,
            port=arguments.port,
            opens_browser=not arguments.no_browser,
        )


if __name__ == "__main__":
    run_program(main)
