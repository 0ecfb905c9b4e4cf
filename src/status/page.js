// Loads the page again every five seconds, and keeps unfolded what is unfolded.
(() => {
  const pause = 5000;
  const refresh = async () => {
    if (!document.hidden) {
      try {
        const answer = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store" });
        if (!answer.ok) throw new Error(answer.statusText);
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        const news = page.querySelector("main");
        for (const one of document.querySelectorAll("details[open]")) {
          const same = news.querySelector("#" + CSS.escape(one.id));
          if (same) same.open = true;
        }
        document.querySelector("main").replaceWith(news);
        document.title = page.title;
        document.body.classList.remove("stale");
      } catch {
        document.body.classList.add("stale");
      }
    }
    setTimeout(refresh, pause);
  };
  setTimeout(refresh, pause);
})();
