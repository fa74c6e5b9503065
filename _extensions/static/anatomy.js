/* What a reader does on the pages: guesses, the switch for code, how far one has read. All of it stays in this browser. */
(() => {
  "use strict";
  const KEY = "fpcourse";
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  function load() {
    try {
      return JSON.parse(localStorage.getItem(KEY)) ?? {};
    } catch {
      return {}; // the browser keeps nothing, or what it kept is not ours
    }
  }
  const kept = { pages: {}, guesses: {}, code: false, ...load() };
  function keep() {
    try {
      localStorage.setItem(KEY, JSON.stringify(kept));
    } catch {
      /* as long as the page is open it is remembered all the same */
    }
  }

  /* Guesses: kept as {choice, right} by name. The last choice counts. */
  function showGuess(question) {
    const name = question.dataset.guess;
    const guess = kept.guesses[name];
    const choices = all("li", question);
    choices.forEach((item, i) => (item.querySelector("input").checked = guess?.choice === i + 1));
    question.querySelector(".fpc-pointer").hidden = !guess;
    const answer = document.getElementById(`answer-${name}`);
    if (!answer) return;
    const yours = answer.querySelector(".fpc-yours");
    yours.hidden = false;
    answer.classList.toggle("fpc-right", guess?.right === true);
    answer.classList.toggle("fpc-wrong", guess?.right === false);
    if (!guess || !choices[guess.choice - 1]) return;
    const said = choices[guess.choice - 1].querySelector("span").cloneNode(true);
    yours.replaceChildren("You guessed: ", said, guess.right ? " ✓ correct" : " ✗ incorrect");
  }

  for (const question of all("fieldset.fpc-guess")) {
    const right = Number(question.dataset.choice);
    for (const button of all("input", question)) {
      button.hidden = false;
      button.addEventListener("change", () => {
        const choice = Number(button.value);
        kept.guesses[question.dataset.guess] = { choice, right: choice === right };
        keep();
        showGuess(question);
      });
    }
    question.classList.add("fpc-alive");
    showGuess(question);
  }
  // the formulas of a choice are drawn later: take them over once they are
  const typeset = window.MathJax?.startup?.promise;
  if (typeset) typeset.then(() => all("fieldset.fpc-guess").forEach(showGuess));

  /* One switch for the folded code of all pages */
  const button = document.querySelector(".btn-fpc-code");
  const folded = all(".bd-article details.hide, .bd-article details.fpc-claims:has(.cell_input)");
  function showCode() {
    folded.forEach((each) => (each.open = kept.code));
    button.setAttribute("aria-pressed", kept.code);
  }
  if (button) {
    button.addEventListener("click", () => {
      kept.code = !kept.code;
      keep();
      showCode();
    });
    if (kept.code) showCode();
    else button.setAttribute("aria-pressed", false);
  }

  /* Read to the end: the links below the text have been in sight */
  const page = DOCUMENTATION_OPTIONS.pagename; // the theme's; no property of window
  const end = document.querySelector(".prev-next-footer");
  if (end && page && page !== "index") {
    new IntersectionObserver((entries, observer) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      observer.disconnect();
      kept.pages[page] = true;
      keep();
    }).observe(end);
  }

  const line = document.querySelector(".fpc-progress");
  function showProgress() {
    const known = JSON.parse(line.dataset.known);
    const read = known.pages.filter((name) => kept.pages[name]);
    const guesses = known.guesses.map((name) => kept.guesses[name]).filter(Boolean);
    line.hidden = !read.length && !guesses.length;
    const right = guesses.filter((guess) => guess.right).length;
    line.querySelector("[role=status]").textContent =
      `You have read ${read.length} of ${known.pages.length} lessons` +
      (guesses.length ? ` and guessed ${right} of ${guesses.length} right.` : ".");
    const paths = new Set(read.map((name) => new URL(`${name}.html`, location.href).pathname));
    all(".fpc-map li > p > a:first-child").forEach((link) => {
      link.classList.toggle("fpc-read", paths.has(link.pathname));
    });
  }
  if (line) {
    line.querySelector("button").addEventListener("click", () => {
      Object.assign(kept, { pages: {}, guesses: {} });
      keep();
      showProgress();
    });
    showProgress();
  }
})();
