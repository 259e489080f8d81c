"""Statistics as pure functions: arrays and a seed go in, frozen records come out.

Nothing here reads a clock, a file or a table. Import the module that has what you need; importing this package loads
no heavy library, and SciPy and scikit-learn are loaded by the functions that call them.

* ``intervals``: the record ``Interval``; Wilson's interval; the corrected resampled *t* of Nadeau and Bengio
* ``delong``: the area under the ROC curve with its variance, and the paired test of two scores
* ``metrics``: metrics by scikit-learn's scorer names, evaluated on many weighted resamples at once
* ``bootstrap``: percentile intervals, stratified or of whole groups, and the paired difference of two models
* ``calibration``: expected calibration error, its noise floor, reliability, logistic and beta calibration
* ``classification``: the headline of a classifier or a regressor, confusion matrix, report per class, curves
* ``profit``: profit by threshold, cumulative gains and lift
* ``slices``: the same model judged by parts of the population
* ``fairness``: whom decisions favour, and the gaps of demographic parity and equalised odds
* ``uplift``: a campaign against the group that was never contacted
* ``profiles``: what training keeps of a column, so that drift needs no training rows
* ``drift``: distances and tests between a profile and a batch
* ``chi_squared``: the quantile of its distribution, without SciPy
* ``false_discoveries``: many tests judged together
* ``writing``: with how many decimals each class was written
* ``streaming``: anomaly scores that follow a stream, with a state that is kept beside each value
* ``half_space``: how rare several fields together are, by half-space trees that follow a stream
* ``performance``: how good a model probably is, before the outcomes are known
"""
