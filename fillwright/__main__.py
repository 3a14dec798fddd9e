"""`python -m fillwright` is the `fillwright` command."""

from fillwright.cli import main

if __name__ == "__main__":
    main()
