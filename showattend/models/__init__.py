"""The networks, pure torch: encoder, attention, decoder, and the captioning model that they make."""
