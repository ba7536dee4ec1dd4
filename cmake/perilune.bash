# Completion for bash; installed as share/bash-completion/completions/perilune.
_perilune() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in
    -e | -l | --threads) ((i++)) ;;
    kernel)
      mapfile -t COMPREPLY < <(compgen -W 'install --user --prefix --help' -- "$word")
      [[ $before == --prefix ]] && mapfile -t COMPREPLY < <(compgen -d -- "$word")
      return
      ;;
    export)
      mapfile -t COMPREPLY < <(compgen -W '--c --prefix --float --int8 --help' -- "$word"; compgen -f -- "$word")
      return
      ;;
    new) return ;;
    watch)
      mapfile -t COMPREPLY < <(compgen -W '--once --help' -- "$word"; compgen -d -- "$word")
      return
      ;;
    notebook)
      mapfile -t COMPREPLY < <(compgen -W '--help' -- "$word"; compgen -f -X '!*.lua' -- "$word"; compgen -d -- "$word")
      return
      ;;
    -) ;;
    -*) ;;
    *) # a script's own words
      mapfile -t COMPREPLY < <(compgen -f -- "$word")
      return
      ;;
    esac
  done
  case $before in
  -e | --threads) return ;;
  -l)
    mapfile -t COMPREPLY < <(compgen -f -X '!*.lua' -- "$word" | sed 's/\.lua$//'; compgen -W perilune -- "$word")
    return
    ;;
  esac
  if [[ $word == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W '-e -i -l -v -E -W --threads --version --help -- -' -- "$word")
  else
    mapfile -t COMPREPLY < <(compgen -W 'export kernel new notebook watch' -- "$word"; compgen -f -X '!*.lua' -- "$word"; compgen -d -- "$word")
  fi
}
complete -o filenames -F _perilune perilune
