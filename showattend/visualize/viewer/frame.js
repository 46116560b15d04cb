// A page that stands in a frame, in a notebook or in the app: the frame grows to the page's height.
try {
  if (window.frameElement)
    new ResizeObserver(() => { window.frameElement.style.height = `${document.body.scrollHeight + 4}px`; }).observe(document.body);
} catch { /* a frame of another origin keeps its height */ }
