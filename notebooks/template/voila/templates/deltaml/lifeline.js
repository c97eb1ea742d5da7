// Keeps a page usable. The pulse (deltaml_core/views/static/pulse.js) tells it when the kernel answers and when it does not. While it does
// not, the page says so; it is loaded anew once the server answers and the kernel is gone. A kernel that is only slow is waited for: it
// knows who has logged in, and may run a node.
(() => {
  const FIRST_ANSWER_MS = 8_000;
  const RETRY_MS = 2_000;
  const PATIENCE_MS = 60_000;
  const pause = (ms) => new Promise((done) => setTimeout(done, ms));
  let lost = false;
  let heard = false;

  async function kernelIsGone() {
    const said = document.getElementById("jupyter-config-data");
    if (!said && document.readyState === "loading") return false; // the server still writes this page
    const { baseUrl, kernelId } = said ? JSON.parse(said.textContent) : { baseUrl: "/", kernelId: "none" };
    const answer = await fetch(`${baseUrl}api/kernels/${kernelId}`, { cache: "no-store" });
    return answer.status === 404;
  }

  function tell() {
    const words = "This page has lost its connection. It comes back by itself.";
    const loading = document.getElementById("loading_text");
    if (loading) {
      loading.textContent = heard ? words : "This takes longer than usual …";
      return;
    }
    const box = document.createElement("div");
    box.className = "d-banner d-bad d-lost t-lost";
    box.setAttribute("role", "alert");
    box.textContent = words;
    document.body.prepend(box);
  }

  async function recover() {
    const since = performance.now();
    for (;;) {
      await pause(RETRY_MS); // a person should see why the page changes
      if (!lost) return;
      const gone = await kernelIsGone().catch(() => null); // null: the server does not answer either
      if (lost && (gone || (gone === false && performance.now() - since > PATIENCE_MS))) {
        location.reload();
        return;
      }
    }
  }

  window.deltaml = {
    answered() {
      heard = true;
      lost = false;
      document.querySelectorAll(".t-lost").forEach((box) => box.remove());
    },
    silent() {
      if (lost) return;
      lost = true;
      tell();
      recover();
    },
  };
  setTimeout(() => heard || window.deltaml.silent(), FIRST_ANSWER_MS);
})();
