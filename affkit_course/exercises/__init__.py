"""The exercises of the course, a module a notebook: notebooks, solutions and checks are made from these.

In ``nb05.py`` an exercise is a function, its solution, and an ``Exercise`` with its text, examples, the wrong
answers that people write, each with what to say, and other right ones. ``python -m
affkit_course.exercises.build`` then writes the cells into ``notebooks/05_*.ipynb``, at its heading
"Exercises", and the page ``docs/solutions/05.md``. A solution may use NumPy as ``np``, and the solutions
above it.
"""
