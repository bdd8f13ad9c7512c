"""``python -m affkit``, and so ``torchrun --nproc-per-node 2 -m affkit train mtl ...``."""

from affkit.cli import main

main()
