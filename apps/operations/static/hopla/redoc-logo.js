// ReDoc's bundle loads its maker's logo from a CDN. The same logo lies beside the bundle and is this page's icon.
const byUs = (url) =>
  String(url).startsWith("https://cdn.redoc.ly/") ? document.querySelector("link[rel=icon]").href : url;

// React sets the attribute, and the property once more.
const src = Object.getOwnPropertyDescriptor(HTMLImageElement.prototype, "src");
Object.defineProperty(HTMLImageElement.prototype, "src", {
  ...src,
  set(url) {
    src.set.call(this, byUs(url));
  },
});
HTMLImageElement.prototype.setAttribute = function (name, value) {
  Element.prototype.setAttribute.call(this, name, name === "src" ? byUs(value) : value);
};
