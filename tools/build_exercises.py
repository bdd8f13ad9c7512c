"""Write the exercises of affkit/exercises into notebooks/ and docs/solutions/.

    python tools/build_exercises.py

Run it after a change there. Other cells of the notebooks, and what they have stored, stay as they are.
"""

from pathlib import Path

from affkit_course.exercises.build import build

if __name__ == "__main__":
    root = Path(__file__).parent.parent
    for path in build(root / "notebooks", root / "docs" / "solutions"):
        print("wrote", path.relative_to(root))
