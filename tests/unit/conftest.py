"""How properties are searched: without a stopwatch, which says more of the machine than of us."""

import hypothesis

hypothesis.settings.register_profile("here", deadline=None, max_examples=60)
hypothesis.settings.load_profile("here")
