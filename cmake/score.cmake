# libperilune_score: the runtime's models and scorers alone, for hosts that only load and score. It is made of the same
# sources, compiled once more with PERI_SCORES (runtime/base/full.h says what that leaves out), small before fast; what
# its calls do not reach is cut off when they are linked into one object, which both libraries are made of.
#
# What it has is said in three places: the files and calls here, layers in runtime/nn/kinds.h (PERI_KINDS_ELSEWHERE) and
# elementwise functions in runtime/kernels/scored.def.
set(score_sources
  open.c
  base/{context,memory,record,team}.c
  kernels/{normalize,pad,places,pool,reduce,rows,scalar,softmax,turn}.c
  product/{convolution,convolution_input,patches,product,sequence,small}.c
  tensor/{iterator,packed,source,tensor}.c
  ops/{activation,average,convolution,dispatch,elementwise,embedding,expand,formula,index,join,matrix,moments,normalize}.c
  ops/{normalize_rows,order,pad,pool,recurrent,reduce,slice,softmax,take,view}.c
  nn/{convolution,embedding,kinds,layer,normalize,pool,recurrent}.c
  svm/grouping.c svm/kernel/{decision,features,kernel,labels,model,platt,types}.c svm/linear/{decision,linear}.c
  data/{checksum,number,place,reader,utf8}.c data/formats/{decode,json}.c
  data/formats/{safetensors,safetensors_header,safetensors_types}.c
  model/{description,machine,machine_kernel,machine_linear,machine_source,model,parts,plan,scorer,transform}.c)
# Loops by instruction set; those that fuse nothing are one set's for all (runtime/open.c).
set(score_fused kernels/{cells,elementwise,softmax}.isa.c product/tiles.isa.c svm/svm_kernels.isa.c
  svm/linear/linear_kernels.isa.c)
set(score_plain kernels/{normalize,pool,reduce}.isa.c)
set(score_calls
  peri_version peri_version_number
  peri_context_{new,release} peri_message peri_{cancel,clear_cancel,set_deadline} peri_interrupt_{new,raise,release}
  peri_{set_memory_limit,memory_in_use,memory_peak}
  peri_model_{load,parse,retain,release,kind,description,inputs,outputs,classes}
  peri_scorer_{new,release,message,context} peri_{score,score_labels,score_probabilities})

# a{b,c}d as the shell has it
function(expand output)
  set(all)
  foreach(word IN LISTS ARGN)
    if(word MATCHES "^([^{]*){([^}]*)}(.*)$")
      set(before ${CMAKE_MATCH_1})
      set(after ${CMAKE_MATCH_3})
      string(REPLACE "," ";" middles "${CMAKE_MATCH_2}")
      list(TRANSFORM middles PREPEND "${before}")
      list(TRANSFORM middles APPEND "${after}")
      list(APPEND all ${middles})
    else()
      list(APPEND all ${word})
    endif()
  endforeach()
  set(${output} ${all} PARENT_SCOPE)
endfunction()
expand(score_sources ${score_sources})
expand(score_fused ${score_fused})
expand(score_plain ${score_plain})
expand(score_calls ${score_calls})
list(TRANSFORM score_sources PREPEND runtime/)
list(TRANSFORM score_fused PREPEND runtime/)
list(TRANSFORM score_plain PREPEND runtime/)

check_c_compiler_flag(-Oz has_smallest)
set(smallest -Os)
if(has_smallest)
  set(smallest -Oz)
endif()
set(score_objects)
set(score_targets)
function(perilune_score_objects part)
  set(target perilune_score_${part})
  add_library(${target} OBJECT ${ARGN})
  target_include_directories(${target} PRIVATE runtime runtime/include)
  target_link_libraries(${target} PRIVATE perilune_flags)
  target_compile_definitions(${target} PRIVATE PERI_SCORES)
  # -w: functions that only the full library calls are no mistake, and all else was said when that was compiled
  target_compile_options(${target} PRIVATE -w -ffunction-sections -fdata-sections $<$<CONFIG:Release>:${smallest}>)
  set(score_objects ${score_objects} $<TARGET_OBJECTS:${target}> PARENT_SCOPE)
  set(score_targets ${score_targets} ${target} PARENT_SCOPE)
endfunction()
function(perilune_score_loops part isa)
  perilune_score_objects(${part} ${ARGN})
  target_compile_options(perilune_score_${part} PRIVATE ${isa_flags_${isa}})
  target_compile_definitions(perilune_score_${part} PRIVATE PERI_ISA=${isa})
  set(score_objects ${score_objects} PARENT_SCOPE)
  set(score_targets ${score_targets} PARENT_SCOPE)
endfunction()
perilune_score_objects(common ${score_sources})
if(v4 IN_LIST isa_names)
  # Where the time goes, functions of numbers are vectorised, which -Os and -Oz never do.
  set(score_hot ${score_fused})
  list(FILTER score_hot INCLUDE REGEX elementwise)
  list(REMOVE_ITEM score_fused ${score_hot})
  perilune_score_loops(exact exact ${score_hot} ${score_fused} ${score_plain})
  perilune_score_loops(v3 v3 ${score_fused})
  perilune_score_loops(v3_hot v3 ${score_hot})
  target_compile_options(perilune_score_v3_hot PRIVATE $<$<CONFIG:Release>:-O2> -fno-align-functions -fno-align-loops
    $<$<C_COMPILER_ID:GNU>:-fno-align-jumps;-fno-align-labels;-fno-tree-pre;-fno-reorder-blocks>)
else()
  perilune_score_loops(baseline baseline ${score_fused} ${score_plain})
endif()

# One object of what the calls reach, in which they alone are seen.
set(score_object ${PROJECT_BINARY_DIR}/perilune_score.o)
set(score_list ${PROJECT_BINARY_DIR}/perilune_score.calls)
list(JOIN score_calls "\n" score_names)
file(GENERATE OUTPUT ${score_list} CONTENT "${score_names}\n")
list(TRANSFORM score_calls PREPEND -Wl,-u, OUTPUT_VARIABLE score_roots)
add_custom_command(OUTPUT ${score_object}
  COMMAND ${CMAKE_C_COMPILER} -r -nostdlib -Wl,--gc-sections ${score_roots} -o ${score_object} ${score_objects}
  COMMAND ${CMAKE_OBJCOPY} --keep-global-symbols=${score_list} --strip-unneeded ${score_object}
  DEPENDS ${score_objects} ${score_list} COMMAND_EXPAND_LISTS VERBATIM COMMENT "Linking what scores into one object")
set_source_files_properties(${score_object} PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
add_custom_target(perilune_score_object DEPENDS ${score_object}) # for both libraries, once
add_dependencies(perilune_score_object ${score_targets})

add_library(perilune_score SHARED ${score_object})
set_target_properties(perilune_score PROPERTIES EXPORT_NAME score VERSION ${PROJECT_VERSION}
  SOVERSION ${PROJECT_VERSION_MAJOR} LINKER_LANGUAGE C)
target_link_libraries(perilune_score PRIVATE Threads::Threads m)
target_link_options(perilune_score PRIVATE LINKER:-z,nodelete LINKER:-Bsymbolic LINKER:-z,defs LINKER:--as-needed
  LINKER:-z,noseparate-code)
if(has_packed_relocations)
  target_link_options(perilune_score PRIVATE LINKER:-z,pack-relative-relocs)
endif()
add_library(perilune_score_static STATIC ${score_object})
set_target_properties(perilune_score_static PROPERTIES OUTPUT_NAME perilune_score EXPORT_NAME score_static
  LINKER_LANGUAGE C)
target_link_libraries(perilune_score_static INTERFACE $<INSTALL_INTERFACE:pthread> $<INSTALL_INTERFACE:m>)
foreach(target perilune_score perilune_score_static)
  add_dependencies(${target} perilune_score_object)
  target_include_directories(${target} INTERFACE
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/runtime/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
endforeach()
