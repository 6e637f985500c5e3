"""Files are written whole, and into the folder that was meant, whatever happens to it meanwhile."""

import tempfile

import pytest

from parc.configuration.errors import UserError
from parc.configuration.files import watched, write_text_whole


def test_nothing_is_put_into_a_folder_that_took_the_others_place_at_the_last_moment(tmp_path, monkeypatch):
    run, make_folder = tmp_path / "run", tempfile.mkdtemp
    run.mkdir()

    def replaced_first(**settings):
        run.rename(tmp_path / "renamed")
        run.mkdir()
        return make_folder(**settings)

    with watched(run):
        write_text_whole(run / "before.txt", "whole")
        monkeypatch.setattr(tempfile, "mkdtemp", replaced_first)
        with pytest.raises(UserError, match="no longer the folder that the run works in"):
            write_text_whole(run / "after.txt", "whole")
    assert not list(run.iterdir())
    assert [path.name for path in (tmp_path / "renamed").iterdir()] == ["before.txt"]
