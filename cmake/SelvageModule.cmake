# selvage_module(NAME <name> KIND <base|pure|store|shell> SOURCES <files> [DEPS <modules>] [LINK <libraries>] [PRIVATE_LINK <libraries>])
#
# One CMake target (selvage_<name>) for each module. The kind is enforced by what the target may link:
#   base   what every module rests on; operating system effects enter only behind its ports
#   pure   no I/O, threads, clock or randomness of its own: base, other pure modules and libraries from the list below
#   store  pure, plus the storage port
#   shell  anything
set(SELVAGE_PURE_LIBRARIES absl:: fmt:: PkgConfig::xxhash PkgConfig::isal PkgConfig::libzstd PkgConfig::libz PkgConfig::libsnappy
    PkgConfig::liblz4 Boost::headers Boost::json
    OpenSSL::Crypto) # digests and signatures

function(selvage_module)
  cmake_parse_arguments(M "" "NAME;KIND" "SOURCES;DEPS;LINK;PRIVATE_LINK" ${ARGN})
  set(target selvage_${M_NAME})
  add_library(${target} STATIC)
  selvage_sources(${target} ${M_SOURCES})
  set_target_properties(${target} PROPERTIES SELVAGE_KIND ${M_KIND} LINKER_LANGUAGE CXX)
  target_include_directories(${target} PUBLIC ${CMAKE_SOURCE_DIR})
  target_link_libraries(${target} PRIVATE selvage_warnings selvage_coverage)

  foreach(dep ${M_DEPS})
    if(NOT TARGET selvage_${dep})
      message(FATAL_ERROR "${M_NAME} depends on ${dep}, which is not built before it: dependencies point one way")
    endif()
    get_target_property(kind selvage_${dep} SELVAGE_KIND)
    set(allowed_pure base pure)
    set(allowed_base base)
    set(allowed_store base pure store)
    set(allowed_shell base pure store shell)
    if(NOT kind IN_LIST allowed_${M_KIND})
      message(FATAL_ERROR "${M_NAME} is a ${M_KIND} module and may not depend on ${dep}, which is a ${kind} module")
    endif()
    target_link_libraries(${target} PUBLIC selvage_${dep})
  endforeach()

  if(M_KIND STREQUAL "pure" OR M_KIND STREQUAL "base")
    foreach(library ${M_LINK} ${M_PRIVATE_LINK})
      set(found FALSE)
      foreach(prefix ${SELVAGE_PURE_LIBRARIES})
        string(FIND ${library} ${prefix} at)
        if(at EQUAL 0)
          set(found TRUE)
        endif()
      endforeach()
      if(NOT found)
        message(FATAL_ERROR "${M_NAME} is a ${M_KIND} module and may not link ${library}")
      endif()
    endforeach()
  endif()
  target_link_libraries(${target} PUBLIC ${M_LINK} PRIVATE ${M_PRIVATE_LINK})
endfunction()
