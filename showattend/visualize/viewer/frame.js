// A page that stands in a frame, in a notebook, in the app or on a site: the frame grows to the page's height.
try {
  if (window.frameElement) {
    document.body.classList.add("embedded"); // sizes that do not depend on the frame's height
    new ResizeObserver(() => { window.frameElement.style.height = `${document.body.scrollHeight + 4}px`; }).observe(document.body);
  }
} catch { /* a frame of another origin keeps its height */ }
