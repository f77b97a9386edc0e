# cmake -DFROM=file -DTO=file -P place.cmake: a hard link where possible, else a copy. These files are large and never change.
get_filename_component(folder ${TO} DIRECTORY)
file(MAKE_DIRECTORY ${folder})
file(CREATE_LINK ${FROM} ${TO} COPY_ON_ERROR)
