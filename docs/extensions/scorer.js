// Scores of Sphinx's search: pages for people come before the pages of all modules.
"use strict";

var Scorer = {
  score: ([docname, title, anchor, description, score]) => {
    if (docname.startsWith("reference/modules")) return score - 100;
    if (docname === "changelog" || docname === "development_notes") return score - 50;
    return score;
  },
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
