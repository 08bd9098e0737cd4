"""The HTTP client of an XR2MRI server, with neither Qt nor MRML.

The Slicer module, the command line (`xr2mri generate --server`) and the demo use the same one. It
lies beside the Slicer module, in whose Python it has to run: Python 3.9 to 3.12 with numpy and
requests, which Slicer bundles, and without `xr2mri_core`.

    client        one method a request, typed errors
    worker        the same in a thread, with events for a user interface
    events, tasks what threads tell, and the thread itself
    transport     connections, retries, limits, TLS
    multipart     the body of a request with a file
    network_errors  what an exception of the network means
    authorities   whom a secure connection trusts
    jobs, volume  what comes back, checked
    installation, installing, install_faults, machine, removing, folders, own_server, programs,
    alone         the server on this computer: installed, started, found again
    dicom         a DICOM series that came as a ZIP, unpacked
    address       what people type as an address
    cells         what the cells of spreadsheets mean
    spreadsheets  tables as spreadsheets save them: code pages, `sep=;`
    radiograph_folder  which files of a folder are radiographs, and what a table calls them
    synthetic_files  files that say that they were generated, and folders of results
    writing       files that are there as a whole or not at all
    errors        what can go wrong, each with its remedy
    texts         the translator of every text that a user may read
"""
