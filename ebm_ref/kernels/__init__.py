"""One body per loop: ``body(chain, *arrays)`` fills its row of an output array, allocates and raises nothing."""
