"""What a run says, kept in its folder."""

import logging

from parc.stages.log_file import logged_to


def test_the_log_of_a_run_has_a_line_for_whatever_is_said(tmp_path, monkeypatch):
    # pytest's own record of what was said would reach xdist, which takes nothing but text.
    monkeypatch.setattr(logging.getLogger("parc"), "propagate", False)
    with logged_to(tmp_path / "train.log"):
        logging.getLogger("parc.somewhere").debug("größer %s", "caf\udce9\nand more")
    (line,) = (tmp_path / "train.log").read_text(encoding="utf-8").splitlines()
    assert line.endswith(r" größer caf\udce9\nand more")


def test_a_run_leaves_the_projects_log_as_it_was(tmp_path):
    logger = logging.getLogger("parc")
    before = logger.level, list(logger.handlers)
    try:
        logger.setLevel(logging.WARNING)
        with logged_to(tmp_path / "train.log"):
            assert logger.level == logging.DEBUG
        assert (logger.level, logger.handlers) == (logging.WARNING, before[1])
    finally:
        logger.setLevel(before[0])
