"""Look at every figure that this process draws; what is wrong with it goes to the file AFFKIT_FIGURES names.

``sitecustomize`` loads this where that variable is set. Importing matplotlib here would be slow, and too
early: a kernel says only later that figures are to be shown in the notebook. So the drawing is changed when
somebody else has just imported matplotlib.
"""

import os
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.util import find_spec

CANVAS = "matplotlib.backend_bases"  # whoever saves or shows a figure calls its FigureCanvasBase.print_figure


class AfterImport(MetaPathFinder):
    """Finds that one module as all others would, once, with :class:`Watched` to load it."""

    def find_spec(self, name, path=None, target=None):
        if name != CANVAS:
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        spec.loader = Watched(spec.loader)
        return spec


class Watched(Loader):
    """Loads the module, and lets its figures be looked at after they were drawn."""

    def __init__(self, loader: Loader):
        self.loader = loader

    def create_module(self, spec):
        return self.loader.create_module(spec)

    def exec_module(self, module) -> None:
        self.loader.exec_module(module)
        canvas = module.FigureCanvasBase
        draw = canvas.print_figure

        def print_figure(self, *arguments, **how):
            drawn = draw(self, *arguments, **how)
            complain(self.figure)
            return drawn

        canvas.print_figure = print_figure


def complain(figure) -> None:
    """Append what is wrong with a figure, a line each, after its title."""
    from figure_checks import figure_problems, titles  # matplotlib is there by now

    name = next(iter(titles(figure)), "a figure")
    with open(os.environ["AFFKIT_FIGURES"], "a", encoding="utf-8") as file:
        file.writelines(f"{name}: {problem}\n" for problem in figure_problems(figure))


sys.meta_path.insert(0, AfterImport())
