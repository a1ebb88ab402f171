"""What runs in another Python, with numpy, matplotlib or torch. Ingot itself imports none of it.

It may import of Ingot only what needs nothing beside the standard library; see ``__main__``.
"""
