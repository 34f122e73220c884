"""The demo: the main job on embedded defaults. site.py gets the site and serves it on loopback, run.py goes the whole way."""
