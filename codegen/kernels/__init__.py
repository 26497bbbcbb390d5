"""The Python half of each template: one frozen record per kernel, same stem as its .cl.mako."""
