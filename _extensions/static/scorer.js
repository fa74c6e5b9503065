/* Sphinx's own scores of what a search finds; back matter, which names everything, comes after the lessons. */
var Scorer = {
  score: ([page, , , , score]) => (page.startsWith("chapters/back_matter/") ? score / 2 : score),
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
