"""How to talk to an exchange: without a socket, a clock or a venue.

Paging, pacing, back-off are pure decisions here. Time is an argument, jitter is an argument; a test never sleeps.
Standard library only, and of that neither asyncio, time, socket nor random.
"""
