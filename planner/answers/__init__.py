"""Which network answers a budget, by all that the trainings taught: `planner.answer`.

    smooth      how each input of the best rows changes with the cost, and how far a row lies from that
    optimism    how far the best of many expectations is too high: the winner's curse
    model       what is known, and the score by which an answer is chosen
    record      that as a document, both ways
    table       the decision for any tables

Notation: t rows were trained, n are asked about; a matrix `(.., k + 1)` holds k inputs and, last, the cost, in the
order of the surrogate's columns; features are the surrogate's.
"""
