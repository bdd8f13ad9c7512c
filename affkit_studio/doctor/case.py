"""All that was found out about a folder: what the checks look at, and what they share."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from affkit.corpus.corpus import SUBJECTS_FILE, read_subjects
from affkit.errors import UserError
from affkit.labelfiles.layouts import read_video_list, video_of
from affkit_studio.doctor.annotations import TEST_LIST, Annotations, Found, find_annotations
from affkit_studio.doctor.reading import Contents, Counted, read_contents
from affkit_studio.doctor.stores import Held, open_stores
from affkit_studio.doctor.survey import Crops, Survey, survey
from affkit_studio.doctor.videos import Film, films, watch


@dataclass
class Case:
    """A folder as it was found.

    Attributes
    ----------
    survey:
        What lies in it, by names.
    found:
        Where its annotations are.
    read:
        What each of ``found.used`` holds, in the same order.
    watched:
        Its videos, or why they cannot be opened.
    subjects:
        Name to subject, from ``subjects.csv``; ``None`` where there is no such file.
    test_lists:
        Task, as its list is called, to the videos whose labels were not handed out.
    faults:
        Why ``subjects.csv`` or a list of videos cannot be read.
    stores, damaged:
        The stores of faces, and why others cannot be opened.
    """

    survey: Survey
    found: Found
    read: list[Contents]
    watched: dict[Path, Film | UserError]
    subjects: Mapping[str, str] | None = None
    test_lists: dict[str, tuple[str, ...]] = field(default_factory=dict)
    faults: list[UserError] = field(default_factory=list)
    stores: list[Held] = field(default_factory=list)
    damaged: list[UserError] = field(default_factory=list)

    @classmethod
    def of(cls, root: Path, progress: bool = False) -> "Case":
        """Look at a folder. Raises ``OSError`` if it cannot be opened."""
        lying = survey(root, progress)
        found = find_annotations(lying)
        read = [read_contents(annotations, progress) for annotations in found.used]
        videos = [] if found.corpora else lying.videos  # those of several corpora are looked at one by one
        case = cls(lying, found, read, watch(videos, progress))
        case.stores, case.damaged = open_stores(lying.stores)
        case._read_subjects()
        case._read_lists()
        return case

    def _read_subjects(self) -> None:
        folders = {self.survey.root, *(path for one in self.found.used for path in (one.home, one.root))}
        files = [path for folder in sorted(folders) for path in self.survey.texts.get(folder, [])]
        for path in files:
            if path.name == SUBJECTS_FILE and (table := self._try(read_subjects, path)) is not None:
                self.subjects = {**(self.subjects or {}), **table["subject"]}

    def _read_lists(self) -> None:
        for path in (path for paths in self.survey.texts.values() for path in paths):
            if path.name.endswith(TEST_LIST) and (names := self._try(read_video_list, path)) is not None:
                self.test_lists[path.name.removesuffix(TEST_LIST)] = names

    def _try(self, read: Callable[[Path], Any], path: Path) -> Any:
        """What ``read`` makes of a file; ``None`` and one more of ``faults`` if it cannot be read."""
        try:
            return read(path)
        except UserError as error:
            self.faults.append(error)
        except OSError as error:
            self.faults.append(
                UserError(path, f"cannot be opened ({error.strerror})", "change its permissions")
            )
        return None

    @property
    def pairs(self) -> Iterator[tuple[Annotations, Contents]]:
        return zip(self.found.used, self.read, strict=True)

    @cached_property
    def counted(self) -> list[Counted]:
        """What all files that can be read say."""
        return [one for contents in self.read for one in contents.counted]

    @cached_property
    def names(self) -> list[str]:
        """The names of all label files and of all that is in lists of frames, sorted."""
        faulty = {fault.name for contents in self.read for fault in contents.faults if fault.name}
        return sorted({one.name for one in self.counted} | faulty)

    @cached_property
    def test_names(self) -> set[str]:
        return {name for names in self.test_lists.values() for name in names}

    @cached_property
    def films(self) -> dict[Path, Film]:
        """The videos that can be opened."""
        return films(self.watched)

    @cached_property
    def videos_by_stem(self) -> dict[str, list[Path]]:
        stems: dict[str, list[Path]] = {}
        for path in self.survey.videos:
            stems.setdefault(path.stem, []).append(path)
        return stems

    @cached_property
    def crops_by_name(self) -> dict[str, Crops]:
        """The crops of each name; aligned ones, where there are others too."""
        crops = sorted(
            self.survey.crops.values(), key=lambda one: ("aligned" in str(one.path), str(one.path))
        )
        return {one.name: one for one in crops}

    def video(self, name: str) -> Path | None:
        """The video of a name: one that is called the same, else the one it is a side of."""
        stems = dict.fromkeys((name, video_of(name)[0]))
        return next((self.videos_by_stem[stem][0] for stem in stems if stem in self.videos_by_stem), None)

    def film(self, name: str) -> Film | None:
        """The video of a name, if it can be opened."""
        path = self.video(name)
        return self.films.get(path) if path else None
