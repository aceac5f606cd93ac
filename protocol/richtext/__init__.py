"""Rich text: one tree (``tree``), Markdown (``markdown``), HTML (``html``), marks in plain text (``marks``)."""
