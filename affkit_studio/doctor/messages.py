"""The words for all that can be found, in one place: code to severity, what is the matter, and what mends it.

A text may have fields in braces, which the check that finds it fills in.
"""

from collections.abc import Iterable

from affkit_studio.doctor.findings import Finding

MESSAGES = {
    # the folder
    "nothing-usable": (
        "error",
        "Nothing that affkit can use: no video, no label file of Aff-Wild or Aff-Wild2, no crops named by "
        "frame number, no store of faces.",
        "give another folder, or unpack what is packed",
    ),
    "no-permission": (
        "error",
        "Folders that may not be opened: what is in them was not seen.",
        "change their permissions",
    ),
    "cannot-read": (
        "error",
        "Files or folders that affkit needs and cannot read: its commands will refuse the folder they are "
        "in.",
        "{mend}",
    ),
    "archive": ("warning", "Packed files: what is in them was not seen.", "unpack them, and look again"),
    "broken-link": ("warning", "Links that lead nowhere.", "repair or delete them"),
    "link-loop": (
        "note",
        "Links that lead back to a folder they are in; they were not followed.",
        "delete them: other programs may go round in circles",
    ),
    "unfinished": (
        "note",
        "What an affkit command left that was interrupted.",
        "run the same command again: it goes on",
    ),
    "empty-folder": ("note", "Folders with nothing in them.", "fill or delete them"),
    "store-damaged": ("error", "A store of faces that cannot be opened.", "{mend}"),
    # where the annotations are
    "misnamed-folder": (
        "error",
        "Label files in folders with names that no year has, so nothing finds them. The names change from "
        "year to year: Training_Set, Train_Set; EXPR_Classification_Challenge, EXPR_Recognition_Challenge.",
        "call the folder Train_Set, Validation_Set or Test_Set, in VA_Set, EXPR_Set or AU_Set",
    ),
    "empty-set": (
        "error",
        "Folders of sets without any label file: affkit refuses them.",
        "unpack the .txt files of the videos into them, or delete the folders",
    ),
    "several-annotations": (
        "warning",
        "Several sets of annotations. affkit reads one at a time; all of them are counted here.",
        "give the commands one of these folders",
    ),
    "inside-a-layout": (
        "warning",
        "This is one set of one task; its layout begins two folders above, in {above}.",
        "look at that folder instead",
    ),
    "years-mixed": (
        "warning",
        "Folders of different years in one place, or under the name of another year: two downloads may have "
        "been mixed.",
        "compare with the download; affkit reads all of it as one",
    ),
    "set-missing": (
        "warning",
        "Some tasks lack a set that others have.",
        "unpack the annotations again; if the folder is there, give it the name of its year",
    ),
    "stray-labels": (
        "warning",
        "Label files that are in no set: no command reads them.",
        "move them into Train_Set or Validation_Set of their task",
    ),
    "not-txt": (
        "warning",
        "Files in the folder of a set that do not end in .txt: they are not read.",
        "rename or move them",
    ),
    "task-missing": ("note", "No annotations of {tasks}.", "nothing, if you do not need them"),
    "several-corpora": (
        "note",
        "Several corpora. Names may be in more than one, so each is to be looked at by itself.",
        "use the commands below",
    ),
    "no-pictures": (
        "note",
        "Annotations only, no video and no crop: lines cannot be compared with frames.",
        "look at the folder that holds the videos too",
    ),
    # label files
    "encoding": ("error", "Label files that are not UTF-8 text.", "save them as UTF-8"),
    "no-frames": ("error", "Label files without a line for any frame.", "copy or download them again"),
    "no-header": (
        "error",
        "Label files without a header: who skips the first line loses frame 1 and shifts all others.",
        "add the header of the other files of that task as the first line",
    ),
    "no-partner": (
        "error",
        "Of the two files that Aff-Wild has for a video, valence and arousal, one is missing.",
        "copy the missing files again",
    ),
    "bad-line": ("error", "Label files that cannot be used as they are.", "{mend}"),
    "odd-name": (
        "error",
        "Names that affkit does not accept for a video: nothing can be written for them.",
        "rename label files and videos: letters, digits, - and _",
    ),
    "columns-differ": (
        "warning",
        "Files of one task with different columns: two years may have been mixed.",
        "compare them with the download",
    ),
    "halves-differ": (
        "warning",
        "Files of valence and arousal of different lengths: the end of the longer one is not used.",
        "copy the shorter files again",
    ),
    "byte-order-mark": (
        "note",
        "Label files that begin with a byte order mark. affkit passes over it; a program that does not "
        "finds no column of the first name.",
        "save them as UTF-8 without it",
    ),
    "line-ends": (
        "note",
        "Label files with line ends of Windows or of old Macs. affkit reads them like all others.",
        "nothing, unless another program trips over them",
    ),
    "all-marked": (
        "note",
        "Label files in which every frame is marked as not labelled.",
        "nothing, if that is meant",
    ),
    # who is in which set
    "in-two-sets": (
        "error",
        "The same people in two sets of one task: a test on them says nothing about new people.",
        "make a partition by subject: affkit split",
    ),
    "same-video-in-two-sets": (
        "error",
        "The same video under two names in two sets: no list of names shows this leak.",
        "take one of them out",
    ),
    "across-tasks": (
        "warning",
        "The same people in one set of one task and in another set of another. It does no harm to who "
        "learns one task; who learns several at once is tested on people it has seen.",
        "learn the tasks apart, or make a partition by subject: affkit split",
    ),
    "same-video": ("warning", "The same video under two names.", "keep one of them"),
    "subjects-unknown": ("warning", "Names in subjects.csv that no label file has.", "compare the spelling"),
    "subjects-missing": (
        "warning",
        "Names that subjects.csv does not have: each is taken for a person of its own.",
        "add a line for each",
    ),
    # lines, frames, crops
    "other-rate": (
        "error",
        "As many lines as the video would have frames at another rate{all}: a converted copy was annotated, "
        "or the rate varies. Line i is not frame i of this file.",
        "find the copy that was annotated, or convert the video to that rate",
    ),
    "lines-far-off": (
        "error",
        "Far more or far fewer lines than the video has frames{all}: these are not the labels of this file, "
        "and affkit convert refuses them.",
        "find the video that was annotated; compare names and versions",
    ),
    "crops-from-zero": (
        "error",
        "Crops that begin with 00000. In Aff-Wild2 line i is crop i, counted from 1; read so, each crop "
        "gets the label of the frame before it. In {fitting} of {number} the last number confirms it: it is "
        "below the number of lines.",
        "add 1 to each number, or read line i with crop i - 1",
    ),
    "crops-beyond-lines": (
        "error",
        "Crops beyond the last line. They are of another version of the video, such as one at another rate, "
        "or of another video; then no line fits its crop.",
        "compare the number of crops with the frames of the video; cut the faces again: affkit faces",
    ),
    "one-line-more": (
        "warning",
        "One line more than the video has frames{all}: a header may have been counted as a frame, and then "
        "each label sits one frame late; or the video lost its last frame.",
        "look whether the line below the header belongs to frame 1; the last line is not used",
    ),
    "one-line-less": (
        "warning",
        "One line less than the video has frames{all}: the line of frame 1 may have been taken for a header "
        "and lost, and then each label sits one frame early; or the last frame was not annotated.",
        "look whether the line below the header belongs to frame 1; the last frame is not used",
    ),
    "few-lines-differ": (
        "warning",
        "A few lines more or fewer than the video has frames{all}. The shorter counts, nothing is shifted.",
        "nothing, if the last frames do not matter",
    ),
    "tasks-differ": (
        "warning",
        "Files of one person with different numbers of lines for different tasks: the shortest counts.",
        "copy the shorter files again, or compare with the frames of the video",
    ),
    "crops-one-more": (
        "warning",
        "The last crop is one beyond the last line: crops may count from 2, as after a header that was "
        "counted as a frame, or the label file lost its last line.",
        "compare one crop with its frame of the video",
    ),
    "listed-without-crop": (
        "warning",
        "Pictures that a list names, with all labels, and that are not there.",
        "unpack the pictures again",
    ),
    "crop-names-padded": (
        "warning",
        'Crops whose numbers are padded with spaces, as "%6d.jpg" writes them: loaders look for 00001.jpg.',
        "fill up with zeros to five digits",
    ),
    "crop-twice": (
        "warning",
        "Several pictures for one frame, such as 1.jpg and 00001.jpg: which one counts is chance.",
        "keep one of each",
    ),
    "picture-names": (
        "warning",
        "Pictures of known videos that are not called by a frame number: loaders do not find them.",
        "call them 00001.jpg and so on, frame 1 first",
    ),
    "crop-names-width": (
        "note",
        "Crops whose numbers have not five digits. affkit reads any number; loaders look for 00001.jpg.",
        "fill up with zeros to five digits",
    ),
    # videos
    "video-unreadable": (
        "error",
        "Videos that cannot be opened. affkit convert and affkit faces stop at them.",
        "copy or download them again, or move them away",
    ),
    "video-twice": (
        "error",
        "Several videos of one name: which of them the labels belong to is not said.",
        "keep one of them, or look at one folder at a time",
    ),
    "almost-same-name": (
        "error",
        "Names that differ only by capitals, spaces, hyphens or the form of letters: they find nothing.",
        "give both the same name",
    ),
    "labels-without-video": ("warning", "Labels whose video is not there.", "unpack the missing videos"),
    "labels-without-crops": (
        "warning",
        "Labels whose crops are not there.",
        "unpack the missing crops, or cut the faces yourself: affkit faces",
    ),
    "video-cut": (
        "warning",
        "Videos whose end is missing: only the frames up to the break can be used.",
        "copy or download them again",
    ),
    "video-variable": (
        "warning",
        "Videos of a variable frame rate. Programs differ in the frames they make of them: crops and labels "
        "of others may count otherwise than the frames of the file.",
        "convert them: affkit convert re-times labels too",
    ),
    "video-turned": (
        "note",
        "Videos stored lying, with a flag by which players turn them. affkit turns them; a program that "
        "does not finds no face, or lying ones.",
        "nothing, or convert them: affkit convert",
    ),
    "video-rate": (
        "note",
        "Videos with another number of frames a second than the 30 of the paper.",
        "affkit convert makes it 30, and re-times labels",
    ),
    "video-without-labels": (
        "note",
        "Videos without labels, and in no list of a test set.",
        "nothing, if their labels were never handed out",
    ),
    "crops-without-labels": (
        "note",
        "Crops without labels, and in no list of a test set.",
        "nothing, if their labels were never handed out",
    ),
}


def found(code: str, where: Iterable[str], **fields: object) -> list[Finding]:
    """The finding ``code`` about all of ``where``, with the fields of its text; none where there is nothing.

    >>> found("broken-link", ["a.mp4"])[0].what, found("broken-link", [])
    ('Links that lead nowhere.', [])
    """
    where = tuple(where)
    if not where:
        return []
    severity, what, mend = MESSAGES[code]
    return [Finding(code, severity, what.format(**fields), mend.format(**fields), where)]
