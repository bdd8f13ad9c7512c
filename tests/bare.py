"""A widget's page without Jupyter: its kernel is a function of the test, which may keep its answers back."""

from base64 import b64decode, b64encode
from collections.abc import Callable

from playwright.sync_api import Page

# While `held` is a list, answers wait.
BARE = """async ([source, style, held]) => {
    document.head.append(Object.assign(document.createElement('style'), { textContent: style }));
    const address = URL.createObjectURL(new Blob([source], { type: 'text/javascript' }));
    const { default: widget } = await import(address);
    const listeners = new Set();
    const text = buffer => Array.from(new Uint8Array(buffer), byte => String.fromCharCode(byte)).join('');
    const send = async (message, _, buffers = []) => {
        const [reply, pictures] = await window.answer(message, buffers.map(buffer => btoa(text(buffer))));
        const bytes = text => Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
        const views = pictures.map(text => new DataView(bytes(text).buffer));
        const deliver = () => listeners.forEach(listener => listener(reply, views));
        window.held ? window.held.push(deliver) : deliver();
    };
    const model = { on: (_, f) => listeners.add(f), off: (_, f) => listeners.delete(f), send };
    window.held = held ? [] : null;
    window.release = () => { window.held.forEach(deliver => deliver()); window.held = null; };
    window.remove = widget.render({ model, el: document.body });
}"""


def show_bare(page: Page, widget: type, handle: Callable, held: bool = False) -> None:
    """Show the page of an anywidget class; ``handle(message, buffers)`` answers it."""

    def answer(message, buffers):
        reply, pictures = handle(message, [b64decode(text) for text in buffers])
        return [reply, [b64encode(picture).decode() for picture in pictures]]

    page.expose_function("answer", answer)
    style = widget._css
    style = style.read_text(encoding="utf-8") if hasattr(style, "read_text") else str(style)
    page.evaluate(BARE, [str(widget._esm), style, held])
