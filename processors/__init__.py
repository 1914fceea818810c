"""The processors: from ticks and releases to regimes, rebalances and alerts.

The data's way: ``feeds`` put records on topics, ``stream`` reads them exactly once, ``sessions``, ``signals`` and
``regime`` decide the regime (:mod:`processors.market`), ``hedge`` the layers (:mod:`processors.hedger`), ``alerts``
what a person is told (:mod:`processors.alerter`).
"""
