"""Networks that judge sub-images: built by name, with the maps that show what they saw; importing this is light.

What to use when:

- `registry.NETWORKS`: what can be chosen, with its options;
- `build.build_network`: a network of a name, with its head;
- `explained.explained`: the same with the logit and the Grad-CAM map as outputs, to be exported;
- `autoencoder`: what a sub-image should look like, to find those that are unlike all others.
"""
