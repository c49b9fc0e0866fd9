from clo_gen.cli import main

main()
