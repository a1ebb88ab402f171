"""Do two models give the same answers? Numbers from both, measures of their distance, a verdict.

``spec`` says what is compared; ``local``, ``server`` and ``huggingface`` get numbers from it, all
as a ``Side``; ``worker`` (another Python, with numpy) measures; ``verdict`` decides; ``report``
shows.
"""
